/** A message of bytes for people: what is no printable ASCII character is written as \xNN. */
export function printable(text: string): string {
  return text.replace(/[^ -~]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
