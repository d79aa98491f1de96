import { decode, encode, type Packet, type Question, RECURSION_AVAILABLE, RECURSION_DESIRED, TRUNCATED_RESPONSE } from "dns-packet";
import { isPublicAddress } from "../address-ranges.ts";

/** A question of an instance, as far as it is carried to a resolver. */
export interface NameQuery {
  id: number;
  question: Question;
  /** The longest answer that its sender takes in one datagram. */
  maxDatagramBytes: number;
}

/** Codes of RFC 1035 section 4.1.1. */
export const ANSWER_CODE = { ok: 0, badFormat: 1, serverFailure: 2, noSuchName: 3, notImplemented: 4, refused: 5 } as const;

/** Types of which each field is known: others, HTTPS and SVCB with their addresses among them, are answered with nothing. */
const CARRIED: ReadonlySet<string> = new Set(["A", "AAAA", "CNAME", "DNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT", "CAA", "NAPTR"]);

/** A datagram without EDNS (RFC 1035), and the longest that goes through every network unbroken (RFC 9715). */
const SMALL_DATAGRAM_BYTES = 512;
const MAX_DATAGRAM_BYTES = 1232;
/** The daemon that reads them also has E-stops to answer. */
const MAX_RECORDS = 256;
const OPCODE_MASK = 0x78_00;
const MAX_LABEL_CHARS = 63;

/** Reads what an instance asks; an answer where nothing is to be asked; undefined for what is no question at all. */
export function readNameQuery(message: Buffer): NameQuery | { answer: Buffer } | undefined {
  let packet;
  try {
    packet = decode(message);
  } catch {
    return message.length < 2 ? undefined : { answer: answerWith({ id: message.readUInt16BE(0) }, ANSWER_CODE.badFormat) };
  }
  if (packet.type === "response") return undefined; // never answered, or two could go on for ever
  const { id = 0, flags = 0, questions = [] } = packet;
  const [question] = questions;
  if ((flags & OPCODE_MASK) !== 0) return { answer: answerWith({ id }, ANSWER_CODE.notImplemented) };
  if (question === undefined || questions.length > 1) return { answer: answerWith({ id }, ANSWER_CODE.badFormat) };
  const edns = packet.additionals?.find((record) => record.type === "OPT");
  const asked = edns?.type === "OPT" ? edns.udpPayloadSize : SMALL_DATAGRAM_BYTES;
  const query = { id, question, maxDatagramBytes: Math.min(Math.max(asked, SMALL_DATAGRAM_BYTES), MAX_DATAGRAM_BYTES) };
  if (question.class !== "IN" || !isPlainName(question.name)) return { answer: answerWith(query, ANSWER_CODE.refused) };
  if (!CARRIED.has(question.type)) return { answer: answerWith(query, ANSWER_CODE.ok) };
  if (isNearbyReverse(question.name)) return { answer: answerWith(query, ANSWER_CODE.noSuchName) };
  return query;
}

/** The question as it is put to a resolver, under an id of our own. */
export function encodeQuestion({ question }: NameQuery, id: number): Buffer {
  const edns = {
    type: "OPT",
    name: ".",
    udpPayloadSize: MAX_DATAGRAM_BYTES,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: [],
  } as const;
  return encode({ type: "query", id, flags: RECURSION_DESIRED, questions: [question], additionals: [edns as never] });
}

/** What a resolver says to a question of ours; undefined for what is no answer to it, or one of more records than anybody has. */
export function readAnswer(message: Buffer, { question }: NameQuery, id: number): { packet: Packet; isTruncated: boolean } | undefined {
  try {
    if (recordCount(message) > MAX_RECORDS) return undefined;
    const packet = decode(message);
    const [repeated] = packet.questions ?? [];
    if (packet.type !== "response" || packet.id !== id || repeated === undefined) return undefined;
    if (repeated.type !== question.type || repeated.name.toLowerCase() !== question.name.toLowerCase()) return undefined;
    return { packet, isTruncated: packet.flag_tc };
  } catch {
    return undefined;
  }
}

/** How many questions and records a message says that it has: each may take as long to read as the longest name. */
function recordCount(message: Buffer): number {
  return [4, 6, 8, 10].reduce((sum, offset) => sum + message.readUInt16BE(offset), 0);
}

/**
 * The answer that the instance gets: written anew of what is known, whatever else the resolver sent.
 * @param isJudged addresses that are not public, in any record and whatever name it has, are left out
 */
export function judgeAnswer(query: NameQuery, packet: Packet, isJudged: boolean): Buffer {
  const isCarried = (record: { type: string; name: string; data?: unknown }) => {
    if (!CARRIED.has(record.type) || !isPlainName(record.name)) return false;
    if (record.type === "A" || record.type === "AAAA") return !isJudged || isPublicAddress(String(record.data));
    return typeof record.data !== "string" || record.type === "TXT" || isPlainName(record.data);
  };
  const code = (packet.flags ?? 0) & 0xf;
  return encode({
    ...head(query, code),
    answers: (packet.answers ?? []).filter(isCarried),
    // For how long nothing is there; addresses of name servers are of no use to who may ask us alone.
    authorities: (packet.authorities ?? []).filter((record) => record.type === "SOA" && isCarried(record)),
  });
}

/** An answer without records. */
export function answerWith(query: Pick<NameQuery, "id"> & Partial<NameQuery>, code: number): Buffer {
  return encode(head(query, code));
}

/** The answer in so many bytes, or else one that says: ask again by TCP. */
export function fitDatagram(answer: Buffer, query: NameQuery): Buffer {
  if (answer.length <= query.maxDatagramBytes) return answer;
  const packet = head(query, ANSWER_CODE.ok);
  return encode({ ...packet, flags: (packet.flags ?? 0) | TRUNCATED_RESPONSE });
}

function head({ id, question }: Pick<NameQuery, "id"> & Partial<NameQuery>, code: number): Packet {
  const questions = question === undefined ? [] : [question];
  return { type: "response", id, flags: RECURSION_DESIRED | RECURSION_AVAILABLE | code, questions };
}

/** The library writes names as it read them only when they are plain. */
function isPlainName(name: string): boolean {
  return name === "." || (/^[!-~]{1,253}$/.test(name) && name.split(".").every((label) => label.length <= MAX_LABEL_CHARS));
}

/** Whether it asks who is at an address that is not public: the names of the owner's network are nobody's business. */
function isNearbyReverse(name: string): boolean {
  const labels = name.toLowerCase().replace(/\.$/, "").split(".");
  const zone = labels.slice(-2).join(".");
  const digits = labels.slice(0, -2).toReversed();
  if (zone === "in-addr.arpa") {
    const [first = "0", second = "0", third = "0", fourth = "0"] = digits;
    return !isPublicAddress([first, second, third, fourth].join("."));
  }
  if (zone !== "ip6.arpa") return false;
  const hex = digits.join("").padEnd(32, "0").slice(0, 32);
  return !isPublicAddress(hex.match(/.{4}/g)?.join(":") ?? "");
}
