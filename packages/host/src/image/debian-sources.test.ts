import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { findDebianSources } from "./debian-sources.ts";

const roots: string[] = [];
afterEach(async () => {
  for (const root of roots.splice(0)) await rm(root, { recursive: true });
});

const debian = 'ID=debian\nVERSION_CODENAME=bookworm\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n';
const keyring = "usr/share/keyrings/debian-archive-keyring.gpg";

async function sourcesOf(files: Record<string, string>): Promise<{ suite: string; lines: string[] }> {
  const root = await mkdtemp(join(tmpdir(), "hs-sources-"));
  roots.push(root);
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content);
  }
  return await findDebianSources(root);
}

describe("the sources of a Debian base system", () => {
  test("are the machine's own mirrors in the new form, without third parties and backports", async () => {
    const sources = await sourcesOf({
      "etc/os-release": debian,
      [keyring]: "",
      "etc/apt/sources.list.d/debian.sources": `# ours
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
  bookworm-backports
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian
Suites: bookworm
Components: main
Enabled: no
`,
      "etc/apt/sources.list.d/node.sources":
        "Types: deb\nURIs: https://vendor.example/node\nSuites: bookworm\nComponents: main\nSigned-By: /usr/share/keyrings/vendor.gpg\n",
    });
    expect(sources).toEqual({
      suite: "bookworm",
      lines: [
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.example/debian bookworm main",
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.example/debian bookworm-updates main",
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.example/debian-security bookworm-security main",
      ],
    });
  });

  test("are read from the one-line form too, and get Debian's key when they name none", async () => {
    const sources = await sourcesOf({
      "etc/os-release": debian,
      [keyring]: "",
      "etc/apt/sources.list": `# deb http://old.example/debian bookworm main
deb http://deb.example/debian/ bookworm main non-free-firmware # a comment
deb [arch=amd64 check-valid-until=no] http://deb.example/debian-security bookworm-security main
deb-src http://deb.example/debian bookworm main
`,
      "etc/apt/sources.list.d/vendor.list":
        "deb https://packages.vendor.example/apt bookworm main\ndeb http://archive.raspberrypi.com/debian/ bookworm main\n",
    });
    expect(sources.lines).toEqual([
      "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.example/debian/ bookworm main",
      "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg check-valid-until=no] http://deb.example/debian-security bookworm-security main",
    ]);
  });

  test("are left to mmdebstrap where the machine is not Debian or names no source", async () => {
    const main = { suite: "bookworm", lines: [] };
    expect(await sourcesOf({ "etc/os-release": "ID=ubuntu\nVERSION_CODENAME=noble\n" })).toEqual(main);
    expect(await sourcesOf({ "etc/os-release": debian })).toEqual(main);
    expect(await sourcesOf({})).toEqual(main);
  });
});
