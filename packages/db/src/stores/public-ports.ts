import type { HubId } from "@hardshare/protocol";

/**
 * The port of a range that a hub's first instance gets; the others follow in turn. Hubs begin at different ones, so that
 * two on one computer, such as those of two `hardshare up`, keep out of each other's way: while a hub is restarted, the
 * other one must not take the port of its instance.
 */
export function turningPoint(hubId: HubId, { firstPort, lastPort }: { firstPort: number; lastPort: number }): number {
  const portCount = Math.max(1, lastPort - firstPort + 1); // a hub may name a range that is none
  let hash = 0;
  for (const letter of hubId) hash = (hash * 31 + letter.charCodeAt(0)) % portCount;
  return firstPort + hash;
}
