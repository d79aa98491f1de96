import { isIP } from "node:net";
import { GLOBAL_IPV6, SPECIAL_IPV4, SPECIAL_IPV6 } from "./address-ranges.ts";

/** Name of our table in the network of a container, where nobody else has rules. */
const INSIDE_TABLE = "hardshare";
/**
 * Connections that an instance may have at the same time, TCP and UDP. Firewalls of this computer keep each of them in a
 * table (65,536 entries and more): when that is full, no connection of anybody's is begun, none to a hub or a robot either.
 */
export const MAX_CONNECTIONS = 4000;

/**
 * The rules of this computer, as `nft` reads them, in one transaction: what the user of internet links sends reaches
 * nothing but public addresses that are neither this computer's nor on a network to which it is connected. Both chains
 * judge alike, before and after others translate addresses: a public address may be translated to a private one, and one
 * of this computer to a container of its owner.
 * @param uid the user by whom all that instances send leaves this computer
 * @param nearby networks to which this computer is connected
 */
export function hostRules(table: string, uid: number, nearby: readonly string[]): string {
  return replaceTable(
    table,
    `  chain before_translation {
    type filter hook output priority raw; policy accept;
    meta skuid ${uid} jump judge
  }
  chain after_translation {
    type filter hook output priority 10; policy accept;
    meta skuid ${uid} jump judge
  }
  chain judge {
    fib daddr type { local, broadcast, multicast, anycast } goto refuse
${rangeRules(nearby)}
  }
${REFUSE}`,
  );
}

/**
 * The rules in the network of a container, whose processes may not change them: a second line, which stands when others
 * empty the rules of this computer. They let nothing in, and out what the first line lets through, and the neighbour
 * messages of IPv6 by which the gateway is found.
 * @param near networks and addresses that are out of reach, as known when the container was linked
 */
export function insideRules(near: readonly string[]): string {
  return replaceTable(
    INSIDE_TABLE,
    `  chain outward {
    type filter hook output priority filter; policy accept;
    oifname "lo" accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept
${rangeRules(near)}
    ct state new ct count over ${MAX_CONNECTIONS} goto refuse
  }
  chain inward {
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept
    ct state established,related accept
  }
  chain through {
    type filter hook forward priority filter; policy drop;
  }
${REFUSE}`,
  );
}

function rangeRules(near: readonly string[]): string {
  const ofFamily = (family: number) => near.filter((network) => isIP(network.split("/")[0] ?? "") === family);
  const elements = (networks: readonly string[]) => [...new Set(networks)].toSorted().join(", ");
  return [
    `    ip daddr { ${elements(SPECIAL_IPV4)} } goto refuse`,
    `    ip6 daddr != ${GLOBAL_IPV6} goto refuse`,
    `    ip6 daddr { ${elements(SPECIAL_IPV6)} } goto refuse`,
    ...ofFamily(4).map((network) => `    ip daddr ${network} goto refuse`),
    ...ofFamily(6).map((network) => `    ip6 daddr ${network} goto refuse`),
  ].join("\n");
}

const REFUSE = `  chain refuse {
    meta l4proto tcp reject with tcp reset
    reject with icmpx admin-prohibited
  }`;

/** The first line makes it when it is not there, so that it can be deleted. */
function replaceTable(table: string, body: string): string {
  return `table inet ${table} {}\ndelete table inet ${table}\ntable inet ${table} {\n${body}\n}\n`;
}
