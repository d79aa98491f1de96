import type { IncomingMessage } from "node:http";
import { BlockList, isIP } from "node:net";
import { AppError } from "@hardshare/protocol";
import { plainAddress } from "./caller.ts";

/** Longest prefix of an address by its family. */
const LONGEST = { 4: 32, 6: 128 } as const;

/**
 * Which addresses are proxies of ours, whose `X-Forwarded-For` is believed.
 * @param subnets addresses or subnets in CIDR notation
 * @throws AppError `bad_input` for one that can't be read
 */
export function readTrustedProxies(subnets: readonly string[]): (address: string) => boolean {
  const trusted = new BlockList();
  for (const subnet of subnets) {
    const [address = "", prefix, ...rest] = subnet.split("/");
    const family = isIP(address) as 0 | 4 | 6;
    const bits = prefix === undefined && family !== 0 ? LONGEST[family] : Number(prefix);
    if (family === 0 || rest.length > 0 || !/^\d{1,3}$/.test(prefix ?? "0") || bits > LONGEST[family]) {
      throw new AppError("bad_input", `--trusted-proxy: "${subnet}" is no address and no subnet in CIDR notation, such as 10.0.0.0/8`, {
        details: { field: "trusted-proxy", expected: "an address or a subnet in CIDR notation" },
      });
    }
    trusted.addSubnet(address, bits, family === 4 ? "ipv4" : "ipv6");
  }
  return (address) => {
    const plain = plainAddress(address);
    const family = isIP(plain);
    return family !== 0 && trusted.check(plain, family === 4 ? "ipv4" : "ipv6");
  };
}

/**
 * Where a request comes from: the rightmost address that is no trusted proxy, of `X-Forwarded-For` and the connection's
 * own. What stands left of it was written by somebody whom nobody vouches for.
 */
export function clientAddress(request: IncomingMessage, isTrusted: (address: string) => boolean): string {
  const header = request.headers["x-forwarded-for"];
  const forwarded = (Array.isArray(header) ? header.join(",") : (header ?? "")).split(",").map((address) => address.trim());
  let address = plainAddress(request.socket.remoteAddress);
  for (let next = forwarded.pop(); next !== undefined && isTrusted(address); next = forwarded.pop()) {
    if (isIP(next) === 0) break; // nothing that a proxy of ours would write
    address = plainAddress(next);
  }
  return address;
}
