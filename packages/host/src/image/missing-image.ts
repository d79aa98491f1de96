import { AppError } from "@hardshare/protocol";
import type { ContainerProvider } from "../engine/engine.ts";
import { GENERIC_IMAGE } from "./ensure-image.ts";

/** Nothing is fetched when an instance is launched. @param then what to do when the image is there */
export function missingImage(image: string, provider: ContainerProvider, then: string): AppError {
  const command = `hardshare image${provider === "podman" ? "" : ` --provider ${provider}`}`;
  const remedy = image === GENERIC_IMAGE ? `\`${command}\` makes it` : "build or pull it";
  return new AppError("image_missing", `the image ${image} is not on this computer; ${remedy}, then ${then}`);
}
