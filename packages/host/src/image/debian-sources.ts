import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { readTextIfThere } from "@hardshare/runtime";

/** Where a Debian base system is made from. */
export interface DebianSources {
  suite: string;
  /** One-line apt sources (sources.list(5)); none: those that mmdebstrap(1) takes by itself. */
  lines: string[];
}

interface AptSource {
  options: ReadonlyMap<string, string>;
  uri: string;
  suite: string;
  components: readonly string[];
}

/** The suite that is made on a machine that is not Debian. */
const DEFAULT_SUITE = "bookworm";
const KEYRING_FOLDER = "/usr/share/keyrings";

/**
 * Debian's own sources of this machine, with its mirrors: not those of third parties, not backports. On a machine that
 * is not Debian, or without such a source, none.
 * @param root "/", or another root folder in tests
 */
export async function findDebianSources(root = "/"): Promise<DebianSources> {
  const release = (await readTextIfThere(join(root, "etc/os-release"))) ?? "";
  const isDebian = /^ID="?debian"?$/m.test(release);
  const codename = /^VERSION_CODENAME="?([a-z]+)"?$/m.exec(release)?.[1];
  const keyring = await findKeyring(root);
  const suite = isDebian && codename !== undefined ? codename : DEFAULT_SUITE;
  const own = isDebian ? (await readSources(root)).filter((source) => isDebianArchive(source) && isOfSuite(source.suite, suite)) : [];
  const sources = own.some((source) => !/-(?:updates|security)$/.test(source.suite)) ? own : [];
  return { suite, lines: [...new Set(sources.map((source) => renderSource(source, keyring)))] };
}

/** Reads the one-line form of apt sources. */
function parseOneLineSources(text: string): AptSource[] {
  const sources: AptSource[] = [];
  for (const line of text.split("\n")) {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)((?:\s+[^\s#]+)*)/.exec(line);
    if (match === null) continue;
    const [, optionText = "", uri = "", suite = "", components = ""] = match;
    const options = optionText
      .trim()
      .split(/\s+/)
      .filter((option) => option.includes("="))
      .map((option): [string, string] => [option.slice(0, option.indexOf("=")).toLowerCase(), option.slice(option.indexOf("=") + 1)]);
    sources.push({ options: new Map(options), uri, suite, components: components.trim().split(/\s+/) });
  }
  return sources;
}

/** Reads the deb822 form of apt sources. A source with its key written into it is left out: it is not Debian's usual one. */
function parseDeb822Sources(text: string): AptSource[] {
  const sources: AptSource[] = [];
  for (const paragraph of text.split(/\n\s*\n/)) {
    const fields = new Map<string, string>();
    let last = "";
    for (const line of paragraph.split("\n")) {
      if (line.startsWith("#")) continue;
      const field = /^([A-Za-z0-9-]+):\s*(.*)$/.exec(line);
      if (field !== null) last = (field[1] ?? "").toLowerCase();
      if (last !== "") fields.set(last, `${fields.get(last) ?? ""} ${field === null ? line.trim() : (field[2] ?? "")}`.trim());
    }
    const words = (name: string) => (fields.get(name) ?? "").split(/\s+/).filter((word) => word !== "");
    const signedBy = fields.get("signed-by");
    if (!words("types").includes("deb") || fields.get("enabled")?.toLowerCase() === "no" || signedBy?.includes("BEGIN PGP") === true)
      continue;
    const options = new Map<string, string>();
    for (const name of ["signed-by", "trusted", "check-valid-until"]) {
      const value = fields.get(name);
      if (value !== undefined) options.set(name, value.split(/\s+/).join(","));
    }
    for (const uri of words("uris")) {
      for (const suite of words("suites")) sources.push({ options, uri, suite, components: words("components") });
    }
  }
  return sources;
}

async function readSources(root: string): Promise<AptSource[]> {
  const sources = parseOneLineSources((await readTextIfThere(join(root, "etc/apt/sources.list"))) ?? "");
  const folder = join(root, "etc/apt/sources.list.d");
  const names: string[] = await readdir(folder).catch(() => []);
  for (const name of names.toSorted()) {
    if (!/\.(?:list|sources)$/.test(name)) continue;
    const text = (await readTextIfThere(join(folder, name))) ?? "";
    sources.push(...(name.endsWith(".sources") ? parseDeb822Sources(text) : parseOneLineSources(text)));
  }
  return sources;
}

/** Signed by Debian's key; or, when the source names no key, an address that ends like those of Debian's mirrors. */
function isDebianArchive(source: AptSource): boolean {
  if (!source.components.includes("main")) return false;
  const signedBy = source.options.get("signed-by");
  if (signedBy !== undefined) return signedBy.includes("debian-archive");
  return /\/debian(?:-security)?\/?$/.test(source.uri) && !source.uri.includes("raspberrypi");
}

function isOfSuite(suite: string, codename: string): boolean {
  return [codename, `${codename}-updates`, `${codename}-security`].includes(suite);
}

function renderSource(source: AptSource, keyring: string | undefined): string {
  const options = new Map<string, string>();
  if (keyring !== undefined) options.set("signed-by", keyring);
  for (const name of ["signed-by", "trusted", "check-valid-until"]) {
    const value = source.options.get(name);
    if (value !== undefined) options.set(name, value);
  }
  const text = [...options].map(([name, value]) => `${name}=${value}`).join(" ");
  return `deb ${text === "" ? "" : `[${text}] `}${source.uri} ${source.suite} main`;
}

/** The package debian-archive-keyring has it as `.gpg`, newer ones as `.pgp` too. */
async function findKeyring(root: string): Promise<string | undefined> {
  const names: string[] = await readdir(join(root, KEYRING_FOLDER)).catch(() => []);
  const name = ["debian-archive-keyring.gpg", "debian-archive-keyring.pgp"].find((name) => names.includes(name));
  return name === undefined ? undefined : `${KEYRING_FOLDER}/${name}`;
}
