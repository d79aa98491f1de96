import { AppError, type ErrorBody } from "@hardshare/protocol";
import type { Logger, Random } from "@hardshare/runtime";
import type { FastifyError, FastifyInstance } from "fastify";
import type { Duplex } from "node:stream";
import type * as z from "zod";
import { CORS_HEADERS } from "./cors.ts";

/**
 * Body of an error answer. The texts are equal: which one an existing client reads depends on the route;
 * `result_message` only with 503, because the Python library takes it for "busy, try again".
 */
export function errorBody(error: AppError): z.infer<typeof ErrorBody> {
  return {
    error_message: error.message,
    error: error.message,
    ...(error.httpStatus === 503 ? { result_message: error.message } : {}),
    code: error.code,
    details: error.details,
  };
}

/** Turns whatever a route throws into the API's error answer; what nobody expected is logged under an id that the answer names. */
export function installErrorAnswers(app: FastifyInstance, deps: { logger: Logger; random: Random }): void {
  app.setErrorHandler((thrown: FastifyError | AppError, request, reply) => {
    if (!(thrown instanceof AppError) && thrown.statusCode !== undefined && thrown.statusCode < 500) {
      // What the framework itself refuses, such as a body that is too large.
      const refusal = new AppError("bad_input", `request: ${thrown.message}`, { details: { field: "request" }, cause: thrown });
      return reply.code(thrown.statusCode).send(errorBody(refusal));
    }
    const error = unexpected(thrown, `${request.method} ${request.routeOptions.url}`, deps);
    return reply.code(error.httpStatus).send(errorBody(error));
  });
  app.setNotFoundHandler((_request, reply) =>
    reply.code(400).send(errorBody(new AppError("unrecognized_command", "unrecognized command"))),
  );
}

/** Answers on a connection of which no route took care, and closes it, whether or not the other side does. */
export function refuseConnection(connection: Duplex, error: AppError): void {
  const body = JSON.stringify(errorBody(error));
  const headers = { ...CORS_HEADERS, "content-type": "application/json", "content-length": Buffer.byteLength(body), connection: "close" };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  connection.on("error", () => {}); // `close` follows
  connection.end(`HTTP/1.1 ${error.httpStatus} Refused\r\n${lines.join("")}\r\n${body}`, () => connection.destroy());
}

/** The error as it may be shown: one that nobody expected becomes an id, by which the log has the rest. */
export function unexpected(cause: unknown, where: string, deps: { logger: Logger; random: Random }): AppError {
  if (cause instanceof AppError && cause.code !== "internal") return cause;
  const errorId = deps.random.uuid();
  deps.logger.error("a request failed unexpectedly", { errorId, where, error: cause });
  return new AppError("internal", `internal error ${errorId}; try again, and tell the operator this id if it stays`, {
    details: { errorId },
    cause,
  });
}
