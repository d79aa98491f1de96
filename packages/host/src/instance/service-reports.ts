import type { FilterDirection, FilterReport, ServiceTraffic } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import type { ReportStream } from "../channel/report-stream.ts";
import { DecisionReports } from "./decision-reports.ts";
import { TapExcerpts } from "./tap-excerpts.ts";

interface ServiceReportsOptions {
  reports: Pick<ReportStream, "add">;
  clock: Clock;
  notice: (level: "info" | "warning", text: string) => void;
}

/** Puts on an instance's timeline what its services tell: what filters decide, what flows through taps, how much in all. */
export class ServiceReports implements Disposable {
  readonly #options: ServiceReportsOptions;
  readonly #decisions: DecisionReports;
  readonly #excerpts: TapExcerpts;

  constructor(options: ServiceReportsOptions) {
    this.#options = options;
    this.#decisions = new DecisionReports(options);
    this.#excerpts = new TapExcerpts(options);
  }

  onOutput(service: string, text: string): void {
    this.#options.reports.add({ kind: "log", step: `service ${service}`.slice(0, 64), text });
  }

  onReport(service: string, report: FilterReport): void {
    switch (report.type) {
      case "decision":
        return this.#decisions.add(service, report);
      case "rules":
        if (report.problem === undefined) return this.#options.notice("info", `service ${service}: its rules were read again`);
        return this.#options.notice("warning", `service ${service}: the rules before stay in force:\n${report.problem}`);
      case "pulse":
      case "cut": // heard where the service is watched
    }
  }

  onTapped(service: string, direction: FilterDirection, chunk: Buffer): void {
    this.#excerpts.add(service, direction, chunk);
  }

  /** The service was closed. */
  onClosed(traffic: ServiceTraffic): void {
    this.#options.reports.add({ kind: "traffic", ...traffic });
  }

  /** Tells what still waits. */
  [Symbol.dispose](): void {
    this.#decisions[Symbol.dispose]();
    this.#excerpts[Symbol.dispose]();
  }
}
