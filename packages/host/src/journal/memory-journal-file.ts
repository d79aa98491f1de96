import type { JournalFile } from "./journal-file.ts";

/** The file of a journal that nobody needs after this process: of a trial, whose leavings are found by label. */
export function memoryJournalFile(): JournalFile {
  let content = Buffer.alloc(0);
  return {
    path: "the journal of a trial",
    read: async () => content,
    write: async (bytes, offset) => {
      content = Buffer.concat([content.subarray(0, offset), bytes]);
    },
    truncate: async (sizeBytes) => {
      content = content.subarray(0, sizeBytes);
    },
    replace: async (bytes) => {
      content = Buffer.from(bytes);
    },
    close: async () => {},
  };
}
