/** The same text for names that a device could take for each other: letter case, and letters that can be written in two ways. */
export function foldName(name: string): string {
  return /^[\0-\x7f]*$/.test(name) ? name.toLowerCase() : name.normalize("NFKC").toUpperCase().toLowerCase();
}
