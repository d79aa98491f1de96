import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/**
 * Path of a file or folder that comes with the code. The built program has all of them beside its code; while sources
 * run, it is where the checkout keeps it.
 * @param codeUrl `import.meta.url` of the code that asks
 * @param inProgram relative to the built program's folder, such as `images/generic`
 * @param inCheckout relative to the asking source file
 */
export function shippedPath(codeUrl: string, { inProgram, inCheckout }: { inProgram: string; inCheckout: string }): string {
  const besideCode = fileURLToPath(new URL(inProgram, codeUrl));
  return existsSync(besideCode) ? besideCode : fileURLToPath(new URL(inCheckout, codeUrl));
}
