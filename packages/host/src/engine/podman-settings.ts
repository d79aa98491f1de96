import { AppError } from "@hardshare/protocol";
import type { PodmanFacts } from "./podman-facts.ts";

/** What podman has to be told on this machine; nothing on a usual one, so that the owner's own configuration holds. */
export interface PodmanSettings {
  runtime?: "crun" | "runc";
  /** Hard limits for the processes in containers. */
  maxOpenFiles?: number;
  maxProcesses?: number;
}

/** podman's own defaults as root (containers.conf(5), default_ulimits): raising to them takes CAP_SYS_RESOURCE. */
const DEFAULT_MAX_OPEN_FILES = 1_048_576;
const DEFAULT_MAX_PROCESSES = 4_194_304;

/**
 * Settings to try, the likeliest first. Throws `engine_missing` when podman or a runtime that works here is not installed.
 */
export function podmanCandidates(facts: PodmanFacts): PodmanSettings[] {
  if (facts.podman === undefined) {
    throw new AppError("engine_missing", "podman is not installed. Install it with: sudo apt-get install podman crun");
  }
  // crun refuses version 1 beside a version 2 that has controllers; runc takes what it finds
  if (facts.runc === undefined && (facts.crun === undefined || facts.cgroupLayout === "hybrid")) {
    const why = facts.crun === undefined ? "podman has no runtime" : "crun does not work with this machine's mixed control groups";
    throw new AppError("engine_missing", `${why}. Install one that does with: sudo apt-get install runc`);
  }
  const needsRunc = facts.crun === undefined || facts.cgroupLayout === "hybrid";
  const limits = facts.isRoot ? ownLimits(facts) : {};
  const best: PodmanSettings = { ...(needsRunc ? { runtime: "runc" } : {}), ...(facts.canRaiseLimits ? {} : limits) };
  const others: PodmanSettings[] = [{ ...best, ...limits }];
  if (!needsRunc && facts.runc !== undefined) others.push({ ...best, runtime: "runc" }, { ...best, ...limits, runtime: "runc" });
  const seen = new Set([JSON.stringify(best)]);
  return [best, ...others.filter((other) => !seen.has(JSON.stringify(other)) && seen.add(JSON.stringify(other)))];
}

function ownLimits(facts: PodmanFacts): PodmanSettings {
  return {
    ...(facts.maxOpenFiles < DEFAULT_MAX_OPEN_FILES ? { maxOpenFiles: facts.maxOpenFiles } : {}),
    ...(facts.maxProcesses < DEFAULT_MAX_PROCESSES ? { maxProcesses: facts.maxProcesses } : {}),
  };
}

/** A containers.conf with these settings, or undefined when there are none. */
export function renderContainersConf(settings: PodmanSettings): string | undefined {
  // Soft and hard limit are the same: podman 4.3's API exchanges the two of a default_ulimits entry.
  const limits: string[] = [];
  if (settings.maxOpenFiles !== undefined) limits.push(`"nofile=${settings.maxOpenFiles}:${settings.maxOpenFiles}"`);
  if (settings.maxProcesses !== undefined) limits.push(`"nproc=${settings.maxProcesses}:${settings.maxProcesses}"`);
  const parts: string[] = [];
  if (limits.length > 0) parts.push(`[containers]\ndefault_ulimits = [${limits.join(", ")}]\n`);
  if (settings.runtime !== undefined) parts.push(`[engine]\nruntime = "${settings.runtime}"\n`);
  if (parts.length === 0) return undefined;
  return `# Written by hardshare: what podman needs on this machine. Only hardshare's own podman reads it.\n${parts.join("\n")}`;
}
