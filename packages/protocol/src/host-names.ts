import * as z from "zod";

/**
 * Name or address of a computer as it goes into other programs' configuration (ssh_config(5) above all): a DNS name
 * (RFC 1123 §2.1; `_` as many networks have it) or an IP address without brackets or zone. Nothing that could be
 * taken for an option, a token or a second line.
 */
export const HostName = z
  .string()
  .regex(/^[A-Za-z0-9:_][A-Za-z0-9:._-]{0,252}$/, "expected a host name or an IP address, such as hub.example.org or 203.0.113.7");
export type HostName = z.infer<typeof HostName>;
