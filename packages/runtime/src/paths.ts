import { createHash } from "node:crypto";

/**
 * A short folder for Unix sockets that belong to a data folder: a socket's path has at most 107 bytes (unix(7)), so it
 * cannot lie in a data folder of any depth. As root `/run/hardshare/<hash>`, else below `XDG_RUNTIME_DIR` or `/tmp`.
 */
export function socketFolder(dataFolder: string, environment: { uid: number; runtimeFolder?: string | undefined }): string {
  const hash = createHash("sha256").update(dataFolder).digest("hex").slice(0, 12);
  if (environment.uid === 0) return `/run/hardshare/${hash}`;
  return environment.runtimeFolder ? `${environment.runtimeFolder}/hardshare/${hash}` : `/tmp/hardshare-${environment.uid}/${hash}`;
}
