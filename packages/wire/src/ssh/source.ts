/**
 * Whom an address belongs to, as far as limits go: an IPv4 address to itself, an IPv6 address to its first 64 bits.
 * @param address as Node prints it: IPv6 in shortest form, IPv4 alone or mapped (`::ffff:1.2.3.4`)
 */
export function sourceOf(address: string): string {
  if (address.includes(".")) return address.replace(/^::ffff:/i, "");
  const [head = "", tail = ""] = address.split("::");
  const first = head === "" ? [] : head.split(":");
  const last = tail === "" ? [] : tail.split(":");
  const zeros: string[] = address.includes("::") ? Array(Math.max(0, 8 - first.length - last.length)).fill("0") : [];
  return [...first, ...zeros, ...last].slice(0, 4).join(":");
}
