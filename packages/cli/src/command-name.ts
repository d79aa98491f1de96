import { basename, dirname } from "node:path";

/**
 * How this command is typed: by its name where it is installed, from a checkout through npx.
 * @param script path by which the process was started, unresolved
 */
export function commandNameOf(script: string): string {
  const isInstalled = basename(script) === "hardshare" && basename(dirname(script)) !== ".bin";
  return isInstalled ? "hardshare" : "npx hardshare";
}

/** Messages, wherever they come from, call commands `hardshare …`: this is such a text with the commands as they are typed. */
export function withCommandName(text: string, commandName: string): string {
  return text.replaceAll("`hardshare ", `\`${commandName} `);
}
