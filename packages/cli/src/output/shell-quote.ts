/** A word for a POSIX shell (XCU §2.2): as it is where that is safe, else in single quotes. */
export function quoteForShell(word: string): string {
  return /^[\w./@+:=,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
