import { type FileHandle, open, stat } from "node:fs/promises";
import { AppError } from "@hardshare/protocol";

/** The first process of a container. */
export interface ContainerProcess {
  /** As the host sees it. */
  pid: number;
  /** Checked once the namespace is open: whether that process still is the container's. */
  isStillRunning(): Promise<boolean>;
}

/** Entered by a descriptor, so that it stays this container's namespace when the process id is given to another. */
export async function openContainerNetwork(container: ContainerProcess): Promise<FileHandle> {
  const file = await open(`/proc/${container.pid}/ns/net`, "r").catch((cause: unknown) => {
    throw new AppError("program_failed", "the container ended before its network could be entered", { cause });
  });
  try {
    if (await isOwnNetwork(file)) {
      throw new AppError("program_failed", "the container shares the network of this computer; refused, because it is to be isolated");
    }
    if (await container.isStillRunning()) return file;
    throw new AppError("program_failed", "the container ended before its network could be entered");
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** A relay in the host's own network would let the instance out, and strangers in. */
async function isOwnNetwork(namespace: FileHandle): Promise<boolean> {
  const [own, entered] = await Promise.all([stat("/proc/self/ns/net"), namespace.stat()]);
  return own.ino === entered.ino && own.dev === entered.dev;
}
