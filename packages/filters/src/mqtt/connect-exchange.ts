import { MAX_DECISION_REASON_CHARS } from "@hardshare/protocol";
import { Reason } from "./malformed.ts";
import type { ConnackPacket, ConnectPacket, Version } from "./packets.ts";
import type { Properties } from "./properties.ts";

/** With what the filter makes itself known to the broker. */
export interface BrokerCredentials {
  readonly username: string | undefined;
  readonly password: Buffer | undefined;
}

/** How long the filter may be silent towards the broker; it sends pings of its own. */
export const BROKER_KEEP_ALIVE_SECONDS = 60;
/** Names for topics that a client of version 5 may use; the broker is offered none. */
export const CLIENT_TOPIC_ALIASES = 32;

/** Return codes of version 3.1.1 (§3.2.2.3). */
const RETURN_CODES = new Map<number, number>([
  [Reason.SUCCESS, 0],
  [Reason.NOT_AUTHORIZED, 5],
  [Reason.PROTOCOL_ERROR, 1],
]);
const RETURN_UNAVAILABLE = 3;

/**
 * The CONNECT that the broker gets instead of the client's: under a client id that the filter chose, with the owner's user
 * name, always with a new session that ends with the connection, and without the will, which stays with the filter.
 */
export function connectToBroker(
  { version, properties }: ConnectPacket,
  { clientId, credentials, limitBytes }: { clientId: string; credentials: BrokerCredentials; limitBytes: number },
): ConnectPacket {
  const { receiveMaximum, maximumPacketSize = limitBytes } = properties;
  return {
    cmd: "connect",
    version,
    cleanStart: true,
    keepAliveSeconds: BROKER_KEEP_ALIVE_SECONDS,
    properties: version === 4 ? {} : withoutUndefined({ receiveMaximum, maximumPacketSize: Math.min(maximumPacketSize, limitBytes) }),
    clientId,
    ...credentials,
  };
}

/** The CONNACK that the client gets instead of the broker's. */
export function acceptClient(
  { version, clientId, properties: asked }: ConnectPacket,
  { properties: broker }: ConnackPacket,
  { assignedId, limitBytes }: { assignedId: string; limitBytes: number },
): ConnackPacket {
  const properties: Properties =
    version === 4
      ? {}
      : withoutUndefined({
          sessionExpiryInterval: (asked.sessionExpiryInterval ?? 0) > 0 ? 0 : undefined,
          receiveMaximum: broker.receiveMaximum,
          maximumQos: broker.maximumQos,
          retainAvailable: broker.retainAvailable,
          maximumPacketSize: Math.min(broker.maximumPacketSize ?? limitBytes, limitBytes),
          assignedClientIdentifier: clientId === "" ? assignedId : undefined,
          topicAliasMaximum: CLIENT_TOPIC_ALIASES,
          wildcardSubscriptionAvailable: broker.wildcardSubscriptionAvailable,
          subscriptionIdentifierAvailable: broker.subscriptionIdentifierAvailable,
          sharedSubscriptionAvailable: broker.sharedSubscriptionAvailable,
        });
  return { cmd: "connack", sessionPresent: false, code: 0, properties };
}

/** The CONNACK for a client that is not let in. */
export function refuseClient(version: Version, reasonCode: number, because: string): ConnackPacket {
  const code = version === 5 ? reasonCode : (RETURN_CODES.get(reasonCode) ?? RETURN_UNAVAILABLE);
  // A reason may hold names that the client made up.
  const properties = version === 5 ? { reasonString: because.slice(0, MAX_DECISION_REASON_CHARS) } : {};
  return { cmd: "connack", sessionPresent: false, code, properties };
}

/** Properties without those that are not there. */
function withoutUndefined(properties: { readonly [Name in keyof Properties]: Properties[Name] | undefined }): Properties {
  return Object.fromEntries(Object.entries(properties).filter(([, value]) => value !== undefined));
}
