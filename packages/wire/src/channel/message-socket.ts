/**
 * What a channel needs of a connection: text messages in order, or nothing. WebSockets are wrapped into it
 * (`@hardshare/wire/node`); a simulation can put a network of its own behind it.
 */
export interface MessageSocket {
  /** Queues one text message. Ignored once closed. */
  send(text: string): void;
  /** Bytes queued and not yet handed to the network. */
  bufferedBytes(): number;
  /** Bytes that came so far, those of a message that is not complete yet included; where that is unknown, always 0. */
  bytesRead(): number;
  /** Reads no more until `resume`; what was read already may still be handed over. */
  pause(): void;
  resume(): void;
  /** Says goodbye and closes; what is queued may still be sent. */
  close(reason: string): void;
  /** Ends the connection at once, without a word. */
  destroy(): void;
  /** Sets who gets messages and the end; messages that came before are handed over then. Called once. */
  listen(listener: { onText(text: string): void; onClose(reason: string): void }): void;
}
