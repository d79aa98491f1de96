import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mqttFilterKind } from "@hardshare/filters";
import mqttPacket, { type IPublishPacket } from "mqtt-packet";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Mosquitto, startMosquitto } from "../mosquitto.ts";
import { LAST_ID, makeMqttConversation, type MqttConversation } from "./attack-packets.ts";
import { type AttackedFilter, startAttackedFilter } from "./attacked-filter.ts";

const RULES = `
rules:
  - allow: publish robots/+/speed
    qos: 1
    payload: { type: object, additionalProperties: false, required: [speed], properties: { speed: { type: number } } }
    clamp: { speed: [-8, 8] }
  - block: publish free/stop
  - allow: "publish free/#"
    retain: true
  - allow: subscribe robots/+/state
  - block: subscribe free/secret
  - allow: "subscribe free/+/#"
`;

const isLong = process.env["HARDSHARE_LONG"] !== undefined;
/** Messages that the filter judges: five times as many go through `mqtt-session.prop.test.ts`, which has no broker. */
const CASES = Number(process.env["FUZZ_CASES"] ?? (isLong ? 1_000_000 : 20_000));
const PACKETS_OF_A_CLIENT = 150;
/** How long a filter may wait for bytes that a damaged packet announces. */
const PATIENCE_MS = 300;
/** What the device says, which no attacker does, and where. */
const TOLD = "told";
const TOLD_ABOUT = ["free/a", "free/a/b", "free/secret", "free/stop", "robots/a/state", "robots/a/secret", "others"];

let folder: string;
let broker: Mosquitto;
let filter: AttackedFilter;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hardshare-attacks-"));
  broker = await startMosquitto();
  const [rules, passwordFile] = [join(folder, "rules.yaml"), join(folder, "password")];
  await writeFile(rules, RULES);
  await writeFile(passwordFile, broker.credentials.password);
  const { username } = broker.credentials;
  filter = await startAttackedFilter(mqttFilterKind({ target: `127.0.0.1:${broker.port}`, username, passwordFile }), rules);
});
afterAll(async () => {
  await filter?.[Symbol.asyncDispose]();
  await broker?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const isTold = (entry: string) => entry.endsWith(` ${TOLD} (retained)`);

/** The owner's rules once more, in other words, of what a subscriber at the broker heard. */
function mayBeInLedger(entry: string): boolean {
  if (isTold(entry)) return true;
  const [, speed] = /^robots\/[^/]*\/speed \{"speed":(-?\d+(?:\.\d+)?)\}$/.exec(entry) ?? [];
  if (speed !== undefined) return Math.abs(Number(speed)) <= 8;
  return /^free(?:\/[^+#]*)? /.test(entry) && !entry.startsWith("free/stop ");
}

const mayBeHeard = ({ topic }: IPublishPacket) =>
  /^robots\/[^/]*\/state$/.test(topic) || (/^free\/[^/]*(?:\/.*)?$/.test(topic) && topic !== "free/secret");

/** Says all of it, and listens until the filter has answered what was said last, or closes. @returns the messages that it heard */
function converse({ version, bytes, hangsUp }: MqttConversation): Promise<IPublishPacket[]> {
  return new Promise((resolve, reject) => {
    const heard: IPublishPacket[] = [];
    const parser = mqttPacket.parser({ protocolVersion: version }).on("error", reject);
    const socket = connect({ port: filter.port, host: "127.0.0.1", noDelay: true });
    const patience = setTimeout(() => socket.end(), PATIENCE_MS);
    parser.on("packet", (packet) => {
      if (packet.cmd === "publish") heard.push(packet);
      if (packet.cmd === "puback" && packet.messageId === LAST_ID) socket.end();
    });
    socket.on("data", (chunk: Buffer) => void parser.parse(chunk));
    socket.on("error", () => {}); // closed by the filter while the rest was being said
    socket.once("close", () => {
      clearTimeout(patience);
      resolve(heard);
    });
    socket.write(bytes);
    if (hangsUp) socket.end();
  });
}

test(
  "whatever comes, a broker gets only what the rules allow, and nobody hears what they may not",
  async () => {
    const judged = { allowed: 0, blocked: 0, reached: 0, heard: 0, conversations: 0 };
    const seed = Number(process.env["FUZZ_SEED"] ?? (isLong ? Date.now() % 1_000_000 : 42));
    while (judged.allowed + judged.blocked < CASES) {
      const number = seed + judged.conversations;
      filter.decisions.length = 0;
      // Kept by the broker for whoever subscribes; some attackers keep something else there.
      for (const topic of TOLD_ABOUT) broker.device.publish(topic, TOLD, { retain: true });
      const heard = await converse(makeMqttConversation(number, PACKETS_OF_A_CLIENT));
      judged.conversations += 1;
      judged.heard += heard.length;
      const input = filter.decisions.filter(({ direction }) => direction === "in");
      const allowed = input.filter(({ decision }) => decision === "allow").length;
      judged.allowed += allowed;
      judged.blocked += input.length - allowed;
      const ledger = broker.ledger.splice(0);
      judged.reached += ledger.filter((entry) => !isTold(entry)).length;
      // `expect` for each of so many would take longer than all the rest.
      const [slipped, overheard] = [ledger.filter((entry) => !mayBeInLedger(entry)), heard.filter((each) => !mayBeHeard(each))];
      if (slipped.length + overheard.length > 0) expect({ number, slipped, overheard }).toEqual({ number, slipped: [], overheard: [] });
    }
    // oxlint-disable-next-line no-console -- what a long run checked is told
    console.log(`seed ${seed}: ${JSON.stringify(judged)}`);
    expect(judged.allowed).toBeGreaterThan(CASES / 5);
    expect(judged.blocked).toBeGreaterThan(CASES / 5);
    expect(judged.reached).toBeGreaterThan(CASES / 20);
    expect(judged.heard).toBeGreaterThan(CASES / 100);
  },
  isLong ? 24 * 3_600_000 : 600_000,
);
