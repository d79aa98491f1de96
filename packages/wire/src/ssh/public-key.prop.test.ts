import { AppError } from "@hardshare/protocol";
import fc from "fast-check";
import { expect, test } from "vitest";
import { generateIdentity, signWith, verifyWith } from "./identity.ts";
import { parsePublicKey, sameKey } from "./public-key.ts";
import { sourceOf } from "./source.ts";

const own = generateIdentity("somebody");

/** Lines that are keys but for a byte or two, and lines that are nothing. */
const line = fc.oneof(
  fc
    .tuple(fc.nat(own.publicKey.length), fc.nat(3), fc.string({ unit: "binary", maxLength: 3 }))
    .map(([at, length, text]) => `${own.publicKey.slice(0, at)}${text}${own.publicKey.slice(at + length)}`),
  fc
    .tuple(
      fc.constantFrom("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "sk-ssh-ed25519@openssh.com"),
      fc.array(fc.uint8Array({ maxLength: 40 })),
    )
    .map(([type, fields]) => {
      const field = (bytes: Uint8Array) => Buffer.concat([Buffer.from([0, 0, 0, bytes.length]), bytes]);
      return `${type} ${Buffer.concat([Buffer.from(type), ...fields].map(field)).toString("base64")}`;
    }),
  fc.string({ unit: "binary" }),
);

test("any line is a key of the type that it says, or refused", () => {
  fc.assert(
    fc.property(line, (text) => {
      try {
        const key = parsePublicKey(text);
        expect(key.blob.subarray(4, 4 + key.type.length).toString()).toBe(key.type);
        expect(sameKey(text, `${key.type} ${key.blob.toString("base64")}`)).toBe(true);
      } catch (error) {
        expect(error).toBeInstanceOf(AppError);
        expect((error as AppError).code).toBe("bad_input");
      }
    }),
  );
});

test("no signature but the right one is believed, whatever stands in its place", () => {
  const signature = signWith(own.privateKey, "hello");
  expect(verifyWith(own.publicKey, "hello", signature)).toBe(true);
  const bytes = Buffer.from(signature, "base64");
  const changed = fc.tuple(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, by]) => {
    const copy = Buffer.from(bytes);
    copy[at] = (copy[at] ?? 0) ^ by;
    return copy.toString("base64");
  });
  fc.assert(
    fc.property(
      fc.oneof(
        changed,
        fc.string({ unit: "binary" }),
        fc.uint8Array({ maxLength: 80 }).map((raw) => Buffer.from(raw).toString("base64")),
      ),
      (given) => {
        expect(verifyWith(own.publicKey, "hello", given)).toBe(false);
      },
    ),
  );
});

test("an IPv6 address counts with all of its first 64 bits, however it is written", () => {
  fc.assert(
    fc.property(fc.ipV6(), fc.integer({ min: 0, max: 0xffff }), (address, last) => {
      const { hostname } = new URL(`http://[${address}]`); // in shortest form, as Node prints it
      const plain = hostname.slice(1, -1);
      if (plain.startsWith("::ffff:")) return;
      const neighbour = new URL(`http://[${expand(plain).slice(0, 7).join(":")}:${last.toString(16)}]`).hostname.slice(1, -1);
      expect(sourceOf(plain)).toBe(sourceOf(neighbour));
      expect(sourceOf(plain)).toBe(expand(plain).slice(0, 4).join(":"));
    }),
  );
  fc.assert(
    fc.property(fc.ipV4(), (address) => {
      expect(sourceOf(`::ffff:${address}`)).toBe(address);
      expect(sourceOf(address)).toBe(address);
    }),
  );
});

function expand(address: string): string[] {
  const [head = "", tail] = address.split("::");
  const first = head === "" ? [] : head.split(":");
  if (tail === undefined) return first;
  const last = tail === "" ? [] : tail.split(":");
  return [...first, ...Array<string>(8 - first.length - last.length).fill("0"), ...last];
}
