/** Reason codes of version 5 (§2.4) that the filter gives itself. */
export const Reason = {
  SUCCESS: 0x00,
  WITH_WILL: 0x04,
  NO_SUBSCRIPTION_EXISTED: 0x11,
  UNSPECIFIED: 0x80,
  MALFORMED: 0x81,
  PROTOCOL_ERROR: 0x82,
  NOT_AUTHORIZED: 0x87,
  SERVER_UNAVAILABLE: 0x88,
  BAD_AUTHENTICATION_METHOD: 0x8c,
  SERVER_SHUTTING_DOWN: 0x8b,
  KEEP_ALIVE_TIMEOUT: 0x8d,
  TAKEN_OVER: 0x8e,
  TOPIC_FILTER_INVALID: 0x8f,
  TOPIC_NAME_INVALID: 0x90,
  UNKNOWN_PACKET_ID: 0x92,
  TOPIC_ALIAS_INVALID: 0x94,
  TOO_LARGE: 0x95,
  QUOTA_EXCEEDED: 0x97,
  PAYLOAD_FORMAT_INVALID: 0x99,
} as const;

/** What is no packet of MQTT, or could be read in two ways: its sender is cut. */
export class Malformed extends Error {
  readonly reasonCode: number;

  /** @param reasonCode of version 5 */
  constructor(message: string, reasonCode: number = Reason.MALFORMED) {
    super(message);
    this.reasonCode = reasonCode;
  }
}
