import { isIP, isIPv6 } from "node:net";
import { AppError } from "@hardshare/protocol";

const EXPECTED = "an IPv4 or IPv6 address or subnet in CIDR notation, such as 203.0.113.7 or 2001:db8::/32";

/**
 * Reads the source of a firewall rule.
 * @throws AppError `bad_input` in the words of the existing API (rerobots-http-api.md §2.3)
 */
export function readSource(src: string): string {
  const [address = "", prefix, ...rest] = src.trim().split("/");
  const family = isIP(address);
  const longest = family === 4 ? 32 : 128;
  const isPrefix = prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= longest);
  if (family === 0 || address.includes("%") || !isPrefix || rest.length > 0) {
    throw new AppError("bad_input", `value for option \`src\` must be ${EXPECTED}`, { details: { field: "src", expected: EXPECTED } });
  }
  const mapped = mappedAddress(address);
  if (mapped === undefined) return prefix === undefined ? address.toLowerCase() : `${address.toLowerCase()}/${Number(prefix)}`;
  if (prefix === undefined) return mapped;
  if (Number(prefix) < 96) {
    throw new AppError(
      "bad_input",
      `value for option \`src\` must be ${EXPECTED}; the prefix of an IPv4 subnet written as IPv6 is at least 96, better write it as IPv4`,
      { details: { field: "src", expected: EXPECTED } },
    );
  }
  return `${mapped}/${Number(prefix) - 96}`;
}

/** The IPv4 address in an IPv6 one (RFC 4291 §2.5.5.2: `::ffff:1.2.3.4`, in any of its spellings). */
function mappedAddress(address: string): string | undefined {
  if (!isIPv6(address)) return undefined;
  // The URL standard writes every IPv6 address in one way.
  const [, high, low] = /^\[::ffff:([0-9a-f]+):([0-9a-f]+)\]$/.exec(new URL(`http://[${address}]`).hostname) ?? [];
  if (high === undefined || low === undefined) return undefined;
  const bits = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
  return bits.flatMap((half) => [half >> 8, half & 0xff]).join(".");
}
