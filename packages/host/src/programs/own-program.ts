import { shippedPath } from "@hardshare/runtime";

/**
 * Path of a built program that the host starts as a process of its own. While sources run, it is the one of the last
 * build (`npm run build`; the set-up of tests makes it anew).
 */
export function ownProgram(name: "relay" | "keeper"): string {
  return shippedPath(import.meta.url, { inProgram: `${name}.js`, inCheckout: `../../../cli/program/${name}.js` });
}
