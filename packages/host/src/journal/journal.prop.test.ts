import { AppError } from "@hardshare/protocol";
import fc from "fast-check";
import { expect, test } from "vitest";
import { JournalEntry } from "./entries.ts";
import type { JournalFile } from "./journal-file.ts";
import { Journal } from "./journal.ts";

/** A file in memory, which takes only so many bytes of a write when it is told to. */
class MemoryFile implements JournalFile {
  readonly path = "journal";
  bytes: Buffer;
  roomBytes = Number.POSITIVE_INFINITY;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  async read(): Promise<Buffer> {
    return Buffer.from(this.bytes);
  }
  async write(bytes: Buffer, offset: number): Promise<void> {
    const taken = bytes.subarray(0, this.roomBytes);
    this.bytes = Buffer.concat([this.bytes.subarray(0, offset), taken]);
    if (taken.length < bytes.length) throw new Error("no space left on the device");
  }
  async truncate(sizeBytes: number): Promise<void> {
    this.bytes = this.bytes.subarray(0, sizeBytes);
  }
  async replace(bytes: Buffer): Promise<void> {
    this.bytes = Buffer.from(bytes);
  }
  async close(): Promise<void> {}
}

const deploymentId = fc.constantFrom("11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222");
const instanceId = fc.constantFrom("33333333-3333-4333-8333-333333333333", "44444444-4444-4444-8444-444444444444");
const epoch = fc.integer({ min: 1, max: 5 });
const deadline = fc.record({ wallMs: fc.nat(), uptimeMs: fc.nat(), bootId: fc.string({ maxLength: 4 }) });
const text = fc.string({ unit: "binary", maxLength: 12 }).map((value) => Buffer.from(value).toString());
const sequence = fc.nat(9);
const at = fc.constant("2026-01-01T00:00:00.000Z");
const entry = fc
  .oneof(
    fc.record({
      kind: fc.constant("started"),
      at,
      deploymentId,
      instanceId,
      epoch,
      user: text,
      deadline,
      contract: text,
      folder: text,
      sequence,
    }),
    fc.record({ kind: fc.constant("moved"), instanceId, deadline }),
    fc.record({ kind: fc.constant("up"), instanceId, hostKeys: fc.array(text, { maxLength: 2 }), sequence }),
    fc.record({ kind: fc.constant("ending"), instanceId, reason: fc.constantFrom("user", "owner", "expired") }),
    fc.record({ kind: fc.constant("acknowledged"), instanceId, epoch }),
    fc.record({ kind: fc.constant("lockout_acknowledged"), lockoutId: text }),
    fc.record({ kind: fc.constant("highest_epoch"), deploymentId, epoch }),
  )
  .filter((one) => JournalEntry.safeParse(one).success) as unknown as fc.Arbitrary<JournalEntry>;

test("a journal that was cut anywhere is what was acknowledged before, and takes more", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(entry, { maxLength: 8 }), fc.nat(), entry, async (entries, cut, next) => {
      const file = new MemoryFile(Buffer.alloc(0));
      const journal = await Journal.load(file);
      for (const one of entries) await journal.append(one);
      const whole = file.bytes;
      const torn = whole.subarray(0, cut % (whole.length + 1));
      const after = await Journal.load(new MemoryFile(torn));
      const kept = new MemoryFile(torn.subarray(0, torn.lastIndexOf(0x0a) + 1));
      expect(after.state).toEqual((await Journal.load(kept)).state);
      await after.append(next);
    }),
  );
});

test("a full disk refuses an entry and loses none before", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(entry, { maxLength: 8 }), entry, fc.nat(40), async (entries, refused, roomBytes) => {
      const file = new MemoryFile(Buffer.alloc(0));
      const journal = await Journal.load(file);
      for (const one of entries) await journal.append(one);
      file.roomBytes = roomBytes;
      await expect(journal.append(refused)).rejects.toThrow(AppError);
      expect((await Journal.load(new MemoryFile(file.bytes))).state).toEqual(journal.state);
    }),
  );
});

test("a file of anything else is read, or refused with the line", async () => {
  const line = fc.oneof(
    entry.map((one) => JSON.stringify(one)),
    fc
      .tuple(entry, fc.string({ maxLength: 8 }), fc.jsonValue({ maxDepth: 1 }))
      .map(([one, field, value]) => JSON.stringify({ ...one, [field]: value })),
    fc.json(),
    fc.string({ unit: "binary" }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 6 }), fc.uint8Array({ maxLength: 6 }), async (lines, tail) => {
      const bytes = Buffer.concat([Buffer.from(lines.map((one) => `${one}\n`).join("")), tail]);
      try {
        await Journal.load(new MemoryFile(bytes));
      } catch (error) {
        expect(error).toBeInstanceOf(AppError);
        expect((error as AppError).message).toMatch(/^the journal journal .* at line \d+;/);
      }
    }),
  );
});
