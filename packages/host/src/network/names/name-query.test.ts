import { type Answer, decode, encode, type Packet } from "dns-packet";
import fc from "fast-check";
import { expect, test } from "vitest";
import { answerWith, encodeQuestion, fitDatagram, judgeAnswer, type NameQuery, readAnswer, readNameQuery } from "./name-query.ts";

const ask = (name: string, type: string, more: Partial<Packet> = {}) =>
  encode({ type: "query", id: 7, flags: 256, questions: [{ name, type: type as "A" }], ...more });
const queryOf = (message: Buffer): NameQuery => {
  const read = readNameQuery(message);
  if (read === undefined || "answer" in read) throw new Error("no query");
  return read;
};
const answerOf = (message: Buffer) => {
  const read = readNameQuery(message);
  if (read === undefined || !("answer" in read)) throw new Error("no answer");
  return decode(read.answer) as ReturnType<typeof decode> & { rcode: string };
};
const reply = (answers: Answer[], more: Partial<Packet> = {}): Packet => ({ type: "response", id: 9, flags: 0, answers, ...more });
const a = (name: string, data: string): Answer => ({ type: "A", name, data });

test("a question is put to the resolver as it was asked, under another id", () => {
  const query = queryOf(ask("robot.example", "AAAA"));
  expect(decode(encodeQuestion(query, 99))).toMatchObject({ id: 99, flag_rd: true, questions: [{ name: "robot.example", type: "AAAA" }] });
});

test("private addresses are left out, whatever name they have and wherever in a chain they stand", () => {
  const query = queryOf(ask("a.example", "A"));
  const answers: Answer[] = [
    { type: "CNAME", name: "a.example", data: "b.example" },
    a("b.example", "10.0.0.1"),
    a("unasked.example", "192.168.0.1"),
    { type: "AAAA", name: "b.example", data: "::ffff:10.0.0.1" },
    a("b.example", "8.8.8.8"),
  ];
  const additionals = [a("b.example", "127.0.0.1")];
  const judged = decode(judgeAnswer(query, reply(answers, { additionals }), true));
  expect(judged.answers?.map((record) => "data" in record && record.data)).toEqual(["b.example", "8.8.8.8"]);
  expect(judged.additionals).toEqual([]);
  expect(decode(judgeAnswer(query, reply(answers), false)).answers).toHaveLength(5);
});

test("what is no question is not answered, and one that cannot be carried is answered without asking", () => {
  expect(readNameQuery(encode({ type: "response", id: 1, questions: [] }))).toBeUndefined();
  expect(readNameQuery(Buffer.from([1]))).toBeUndefined();
  expect(answerOf(Buffer.from([0, 7, 1])).rcode).toBe("FORMERR");
  expect(answerOf(encode({ type: "query", id: 7, questions: [] })).rcode).toBe("FORMERR");
  expect(answerOf(ask("a.example", "A", { flags: 0x28_00 })).rcode).toBe("NOTIMP"); // an update
  expect(answerOf(ask("1.0.168.192.in-addr.arpa", "PTR")).rcode).toBe("NXDOMAIN");
  expect(answerOf(ask("168.192.in-addr.arpa", "NS")).rcode).toBe("NXDOMAIN");
  expect(answerOf(ask(`${"0.".repeat(31)}1.ip6.arpa`, "PTR")).rcode).toBe("NXDOMAIN");
  expect(queryOf(ask("8.8.8.8.in-addr.arpa", "PTR")).question.type).toBe("PTR");
});

test("records whose fields are not known, such as HTTPS with its addresses, are asked for by nobody and carried to nobody", () => {
  const https = Buffer.concat([ask("a.example", "A").subarray(0, -4), Buffer.from([0, 65, 0, 1])]);
  https[1] = 5;
  expect(answerOf(https)).toMatchObject({ id: 5, rcode: "NOERROR", questions: [{ type: "UNKNOWN_65" }], answers: [] });
  const query = queryOf(ask("a.example", "A"));
  const hint = { type: "UNKNOWN_65", name: "a.example", data: Buffer.from([10, 0, 0, 1]) } as unknown as Answer;
  expect(decode(judgeAnswer(query, reply([hint, a("a.example", "8.8.8.8")]), true)).answers).toHaveLength(1);
});

test("an answer counts only when it is one to the question", () => {
  const query = queryOf(ask("a.example", "A"));
  const to = (id: number, name: string, type = "A") => encode({ type: "response", id, questions: [{ name, type: type as "A" }] });
  expect(readAnswer(to(9, "A.Example"), query, 9)).toBeDefined();
  expect(readAnswer(to(8, "a.example"), query, 9)).toBeUndefined();
  expect(readAnswer(to(9, "b.example"), query, 9)).toBeUndefined();
  expect(readAnswer(to(9, "a.example", "AAAA"), query, 9)).toBeUndefined();
  expect(readAnswer(ask("a.example", "A"), query, 7)).toBeUndefined();
  const many = to(9, "a.example");
  many.writeUInt16BE(256, 6);
  expect(readAnswer(Buffer.concat([many, Buffer.alloc(256 * 16)]), query, 9)).toBeUndefined();
});

test("an answer that is too long for a datagram says so instead", () => {
  const query = queryOf(ask("a.example", "A"));
  const long = judgeAnswer(query, reply(Array.from({ length: 60 }, (_, index) => a("a.example", `8.8.8.${index}`))), true);
  const cut = decode(fitDatagram(long, query));
  expect(cut).toMatchObject({ id: 7, flag_tc: true, answers: [] });
  const short = answerWith(query, 0);
  expect(fitDatagram(short, query)).toBe(short);
});

test("no message, of an instance or a resolver, makes it throw", () => {
  const query = queryOf(ask("a.example", "A"));
  const labels = fc.array(fc.uint8Array({ minLength: 1, maxLength: 63 }), { maxLength: 4 });
  const named = fc.tuple(labels, fc.uint8Array({ minLength: 4, maxLength: 4 })).map(([labels, kind]) => {
    const name = labels.flatMap((label) => [Buffer.from([label.length]), label]);
    return Buffer.concat([Buffer.from([0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]), ...name, Buffer.from([0]), kind]);
  });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 600 }), named), (bytes) => {
      readNameQuery(Buffer.from(bytes));
      readAnswer(Buffer.from(bytes), query, 1);
    }),
    { numRuns: 1000 },
  );
});
