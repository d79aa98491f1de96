import { isIP } from "node:net";
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
  return prefix === undefined ? address.toLowerCase() : `${address.toLowerCase()}/${Number(prefix)}`;
}
