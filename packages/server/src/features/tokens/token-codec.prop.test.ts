import { generateKeyPairSync } from "node:crypto";
import { ManualClock, systemRandom } from "@hardshare/runtime";
import fc from "fast-check";
import { expect, test } from "vitest";
import { TokenCodec } from "./token-codec.ts";

const codec = new TokenCodec({
  tokenKey: generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey,
  clock: new ManualClock(),
  random: systemRandom,
});

test("no text but a token that was signed here is believed, and what it says is what was signed", async () => {
  const { token } = await codec.sign({ user: "amara", days: 1, isSuperuser: false });
  expect(await codec.verify(token)).toMatchObject({ sub: "amara" });
  const [head = "", claims = "", signature = ""] = token.split(".");
  const encoded = fc
    .oneof(fc.jsonValue(), fc.record({ alg: fc.constantFrom("none", "HS256", "RS256", "RS512"), sub: fc.string(), su: fc.boolean() }))
    .map((value) => Buffer.from(JSON.stringify(value)).toString("base64url"));
  const forged = fc.oneof(
    fc
      .tuple(fc.oneof(encoded, fc.constant(head)), encoded, fc.oneof(fc.constant(signature), fc.constant(""), fc.base64String()))
      .map((parts) => parts.join(".")),
    fc.tuple(encoded, fc.constant(claims), fc.constant(signature)).map((parts) => parts.join(".")),
    fc
      .tuple(fc.nat(token.length), fc.string({ unit: "binary", minLength: 1, maxLength: 2 }))
      .map(([at, text]) => token.slice(0, at) + text + token.slice(at)),
    fc.nat(token.length - 1).map((length) => token.slice(0, length)),
    fc.string({ unit: "binary" }),
  );
  await fc.assert(
    fc.asyncProperty(forged, async (text) => {
      if (text !== token) expect(await codec.verify(text)).toBeUndefined();
    }),
  );
});

test("a token has one spelling: a revoked one cannot come back under another", async () => {
  const { token } = await codec.sign({ user: "amara", days: 1, isSuperuser: false });
  const bytes = (text: string) => Buffer.from(text.slice(text.lastIndexOf(".") + 1), "base64url");
  const respelled = Array.from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    .map((last) => token.slice(0, -1) + last)
    .filter((text) => text !== token && bytes(text).equals(bytes(token)));
  expect(respelled).toHaveLength(15);
  const blank = `${token.slice(0, -9)}\t${token.slice(-9)}`;
  for (const text of [...respelled, blank, `${token}=`, `${token}==`]) expect(await codec.verify(text)).toBeUndefined();
  expect(await codec.verify(token)).toBeDefined();
});
