import { AppError } from "@hardshare/protocol";
import { Option } from "commander";
import { programLogger } from "../infrastructure/serving.ts";
import { type AddVerb, examples, runs } from "../verb.ts";

interface ImageFlags {
  provider: "podman" | "docker" | "docker-rootless";
}

export const addImage: AddVerb = (program, shell) => {
  program
    .command("image")
    .summary("make the image that instances run in")
    .description(
      "Makes the container image that instances get unless their contract names another, of Debian's packages: once, and anew\n" +
        "when a newer hardshare brings another one. Takes a minute, and less than a second when there is nothing to do.",
    )
    .addOption(
      new Option("--provider <provider>", "where it is kept: the provider of the contract")
        .choices(["podman", "docker", "docker-rootless"])
        .default("podman"),
    )
    .action(
      runs(shell, async ({ context, options, output }, { provider }: ImageFlags) => {
        const { environment, interrupted: signal } = context;
        // Nothing is tried: podman would leave a process of its own behind.
        if (environment.uid !== 0) {
          throw new AppError("engine_missing", "containers need root, and so does their image: run `hardshare image` as root");
        }
        const { ensureImage } = await import("@hardshare/host");
        const { name, wasBuilt } = await ensureImage({
          provider,
          folder: environment.state,
          environment: environment.variables,
          logger: programLogger("image", options),
          onProgress: (line) => output.progress(line),
          signal,
        });
        output.result({ name, wasBuilt }, () => (wasBuilt ? `made the image ${name}` : `the image ${name} is there already`));
      }),
    )
    .addHelpText(
      "after",
      examples(["sudo hardshare image", "before the first `sudo hardshare ad`"], ["sudo hardshare image --provider docker", "for Docker"]),
    );
};
