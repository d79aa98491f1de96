import { expect, test } from "vitest";
import { type DockerInfo, type DockerVersion, whyUnfit } from "./docker-facts.ts";

const version: DockerVersion = { Version: "20.10.24", ApiVersion: "1.41", Components: [{ Name: "Engine" }] };
const info: DockerInfo = { MemoryLimit: true, PidsLimit: true, CpuCfsQuota: true, SecurityOptions: ["name=seccomp,profile=default"] };
const rootless = { ...info, SecurityOptions: ["name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"] };

test("a docker with a known API that can hold limits will do", () => {
  for (const ApiVersion of ["1.41", "1.50", "2.0"]) expect(whyUnfit("docker", { ...version, ApiVersion }, info)).toBeUndefined();
  expect(whyUnfit("docker", { Version: "1", ApiVersion: "1.41" }, { ...info, SecurityOptions: null })).toBeUndefined();
  expect(whyUnfit("docker-rootless", version, rootless)).toBeUndefined();
});

test("a docker that is too old is told what is needed", () => {
  expect(whyUnfit("docker", { ...version, Version: "19.03.15", ApiVersion: "1.40" }, info)).toBe(
    "docker 19.03.15 speaks version 1.40 of its API, and 1.41 (Docker 20.10) or newer is needed: upgrade it",
  );
});

test("podman at docker's socket is refused: it has a provider of its own", () => {
  expect(whyUnfit("docker", { ...version, Components: [{ Name: "Podman Engine" }] }, info)).toContain("write `provider: podman`");
});

test("a docker that drops limits is refused, and says which", () => {
  expect(whyUnfit("docker", version, { ...info, MemoryLimit: false, PidsLimit: false })).toBe(
    "docker cannot limit the memory, processes of a container on this computer: see the warnings of `docker info`",
  );
  expect(whyUnfit("docker-rootless", version, { ...rootless, CpuCfsQuota: false })).toContain("control groups version 2, delegated");
});

test("what is asked for as rootless has to be it", () => {
  expect(whyUnfit("docker-rootless", version, info)).toContain("does not run rootless: write `provider: docker`");
});
