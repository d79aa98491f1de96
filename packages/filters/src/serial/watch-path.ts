import { existsSync, type FSWatcher, watch } from "node:fs";
import { basename, dirname } from "node:path";

/**
 * Tells when a file may have appeared, or what it may be opened for has changed. Where folders above it are missing (as
 * /dev/serial is without a device), the nearest that is there is watched. A hint only: whoever waits looks again now and
 * then all the same.
 */
export function watchPath(path: string, onChange: () => void): Disposable {
  let watcher: FSWatcher | undefined;
  const end = () => watcher?.close();
  try {
    let name = path;
    while (!existsSync(dirname(name))) name = dirname(name);
    const [folder, wanted] = [dirname(name), basename(name)];
    watcher = watch(folder, { persistent: false }, (_event, changed) => {
      if (changed === wanted || changed === null || changed === basename(folder)) onChange();
    });
    watcher.on("error", end);
  } catch {
    // No more watches, or the folder went at this moment.
  }
  return { [Symbol.dispose]: end };
}
