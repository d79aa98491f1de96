import { openImageStore, type OpenImageStoreOptions } from "./open-image-store.ts";

/** Whether an engine has an image. @throws AppError `engine_missing`, `engine_failed` */
export async function hasImage(name: string, options: OpenImageStoreOptions, signal: AbortSignal): Promise<boolean> {
  await using store = await openImageStore(options, signal);
  return (await store.inspect(name, signal)) !== undefined;
}
