/**
 * Numeric users and groups, nobody else's (see `RELAY_UID`), by whom all that instances send leaves this computer. The
 * packet rules know an instance's packets by the user who sends them, so those of `network: open` have another.
 */
export const INTERNET_UID = 65_531;
export const OPEN_UID = 65_532;
