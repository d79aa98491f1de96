/**
 * Text of others made harmless for a terminal: control characters, by which a description or a program's log could move
 * the cursor or fake output, are replaced. Line ends and tabs stay when `lines` is set, else they become blanks.
 */
export function printable(text: string, lines = false): string {
  const flat = lines ? text.replace(/\r\n?/g, "\n") : text.replace(/[\r\n\t]+/g, " ");
  // C0, DEL, C1, and the characters that reverse the direction of text (Unicode TR 9).
  // oxlint-disable-next-line no-control-regex
  return flat.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, "�");
}
