/** Connections of one source that may wait for their login at the same time: a site's hosts, redialling after a restart of the hub. */
export const MAX_HALF_OPEN_PER_SOURCE = 128;
/** Connections that may wait for their login at the same time. */
const MAX_HALF_OPEN = 1024;

/** Counts connections that have not logged in. A source is an IPv4 address, or the first 64 bits of an IPv6 address. */
export class HalfOpenLimit {
  readonly #bySource = new Map<string, number>();
  #total = 0;

  /** @returns a function to call once when the connection has logged in or closed, or undefined when there are too many */
  admit(address: string): (() => void) | undefined {
    const source = sourceOf(address);
    const count = this.#bySource.get(source) ?? 0;
    if (count >= MAX_HALF_OPEN_PER_SOURCE || this.#total >= MAX_HALF_OPEN) return undefined;
    this.#bySource.set(source, count + 1);
    this.#total += 1;
    let isReleased = false;
    return () => {
      if (isReleased) return;
      isReleased = true;
      this.#total -= 1;
      const left = (this.#bySource.get(source) ?? 1) - 1;
      if (left > 0) this.#bySource.set(source, left);
      else this.#bySource.delete(source);
    };
  }
}

/** @param address as Node prints it: IPv6 in shortest form, IPv4 alone or mapped (`::ffff:1.2.3.4`) */
function sourceOf(address: string): string {
  if (address.includes(".")) return address.replace(/^::ffff:/i, "");
  const [head = "", tail = ""] = address.split("::");
  const first = head === "" ? [] : head.split(":");
  const last = tail === "" ? [] : tail.split(":");
  const zeros: string[] = address.includes("::") ? Array(Math.max(0, 8 - first.length - last.length)).fill("0") : [];
  return [...first, ...zeros, ...last].slice(0, 4).join(":");
}
