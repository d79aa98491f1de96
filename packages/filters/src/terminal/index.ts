/**
 * Terminals of this computer, without blocking: what the `serial` filter and the keeper of an instance's device file have
 * in common. Knows nothing of rules or instances.
 */
export { PseudoTerminal, type PseudoTerminalEvents } from "./pseudo-terminal.ts";
