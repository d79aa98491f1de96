import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { generateIdentity, generateRsaKeyPair, publicKeyOf, signWith, verifyWith } from "./identity.ts";
import { fingerprintOf, parsePublicKey, sameKey } from "./public-key.ts";

const run = promisify(execFile);
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hardshare-identity-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function writeKey(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text, { mode: 0o600 });
  return path;
}

test("OpenSSH reads the keys that we make and agrees on public key and fingerprint", async () => {
  for (const [name, pair] of [
    ["ed25519", generateIdentity("robot host")],
    ["rsa", generateRsaKeyPair("laptop")],
  ] as const) {
    const path = await writeKey(name, pair.privateKey);
    const { stdout: line } = await run("ssh-keygen", ["-y", "-f", path]);
    expect(sameKey(line, pair.publicKey)).toBe(true);
    const { stdout: shown } = await run("ssh-keygen", ["-l", "-f", await writeKey(`${name}.pub`, pair.publicKey)]);
    expect(shown.split(" ")[1]).toBe(fingerprintOf(pair.publicKey));
  }
});

test("no generated key is unusable, also when a number begins with zero bytes", () => {
  for (let round = 0; round < 1000; round += 1) {
    const pair = generateIdentity("x");
    expect(publicKeyOf(pair.privateKey, "x")).toBe(pair.publicKey);
  }
});

test("making keys never hangs, also when memory is tidied up in the middle of it", { timeout: 60_000 }, async () => {
  const code = `
    const { generateIdentity } = await import(${JSON.stringify(new URL("identity.ts", import.meta.url).href)});
    for (let count = 0; count < 12_000; count += 1) generateIdentity("x");
  `;
  const args = ["--max-semi-space-size=1", "--import", "tsx", "--conditions=@hardshare/source", "--input-type=module", "--eval", code];
  await run(process.execPath, args, { timeout: 50_000, killSignal: "SIGKILL" });
});

test("a signature holds for its text and its key only", () => {
  const pair = generateIdentity("");
  const signature = signWith(pair.privateKey, "text");
  expect(verifyWith(pair.publicKey, "text", signature)).toBe(true);
  expect(verifyWith(pair.publicKey, "other text", signature)).toBe(false);
  expect(verifyWith(generateIdentity("").publicKey, "text", signature)).toBe(false);
  expect(verifyWith(pair.publicKey, "text", "not a signature")).toBe(false);
  expect(verifyWith(generateRsaKeyPair().publicKey, "text", signature)).toBe(false);
});

test("the comment is no part of the key", () => {
  const { publicKey } = generateIdentity("one comment");
  expect(parsePublicKey(publicKey).comment).toBe("one comment");
  const bare = publicKey.split(" ").slice(0, 2).join(" ");
  expect(sameKey(publicKey, bare)).toBe(true);
  expect(sameKey(publicKey, generateIdentity("one comment").publicKey)).toBe(false);
});

test("keys of security tokens are read", () => {
  const line =
    "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIFUa8PbmY5tYbbFOnFwYHVrq8GkBxkxGzUq3gdHYt9p6AAAABHNzaDo= token";
  expect(parsePublicKey(line).type).toBe("sk-ssh-ed25519@openssh.com");
});

test.each([
  ["nothing", ""],
  ["a private key", generateIdentity("").privateKey],
  ["two lines", `${generateIdentity("").publicKey}\n${generateIdentity("").publicKey}`],
  ["a type that differs from the one inside", generateIdentity("").publicKey.replace("ssh-ed25519", "ssh-rsa")],
  ["a key that was cut", generateIdentity("").publicKey.slice(0, 60)],
  ["a prefix of options", `command="sh" ${generateIdentity("").publicKey}`],
])("%s is no public key and is refused with a message", (_name, line) => {
  expect(() => parsePublicKey(line)).toThrow(/is no public key of OpenSSH; give one whole line/);
});

test("what is no private key can't sign", () => {
  expect(() => signWith(generateIdentity("").publicKey, "text")).toThrow(/expected an unencrypted private key/);
  expect(() => signWith("nonsense", "text")).toThrow(/expected an unencrypted private key/);
});
