/** `type base64` of an OpenSSH public key line: two lines of one key differ in their comments only. */
export function withoutComment(publicKeyLine: string): string {
  return publicKeyLine.trim().split(/\s+/).slice(0, 2).join(" ");
}
