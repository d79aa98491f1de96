import { readFile } from "node:fs/promises";
import { AppError, type HookMessage } from "@hardshare/protocol";
import { parseYamlWith } from "@hardshare/runtime";
import * as z from "zod";

const CONNECT_TIMEOUT_MS = 10_000;
const SILENCE_TIMEOUT_MS = 20_000;

/** The file of `--mail-file`: the mail server through which letters are sent. */
const MailSettings = z.strictObject({
  url: z
    .string()
    .regex(/^smtps?:\/\/[^\s]+$/, "expected the URL of a mail server, such as smtps://user:password@mail.example.org")
    .refine((url) => URL.canParse(url), "expected the URL of a mail server, such as smtps://user:password@mail.example.org"),
  from: z.string().regex(/^[^\r\n]*[^\s@]+@[^\s@]+$/, "expected the address from which letters come, such as robots@example.org"),
});

/** Sends a letter. @throws Error why it was not taken */
export type SendMail = (letter: { to: string; message: HookMessage; deliveryId: string }) => Promise<void>;

/**
 * Prepares the sending of letters through the mail server that a file names.
 * @throws AppError `config_invalid` that names the field, `bad_input` when there is no such file
 */
export async function openMail(file: string): Promise<SendMail> {
  const text = await readFile(file, "utf8").catch((cause: unknown) => {
    throw new AppError("bad_input", `--mail-file: ${(cause as Error).message}`, { details: { field: "mail-file" }, cause });
  });
  const { url, from } = parseYamlWith(MailSettings, text, file);
  const { createTransport } = await import("nodemailer");
  const transport = createTransport(
    {
      url,
      connectionTimeout: CONNECT_TIMEOUT_MS,
      greetingTimeout: CONNECT_TIMEOUT_MS,
      socketTimeout: SILENCE_TIMEOUT_MS,
      disableFileAccess: true,
      disableUrlAccess: true,
    },
    { from },
  );
  return async ({ to, message, deliveryId }) => {
    const { deployment, instance, at } = message;
    const [first = ""] = message.message.split("\n");
    await transport.sendMail({
      to: { name: "", address: to },
      messageId: `<${deliveryId}@hardshare>`,
      subject: `hardshare: ${deployment.slice(0, 8)}: ${first.slice(0, 150)}`,
      text: [message.message, "", `deployment ${deployment}`, ...(instance === null ? [] : [`instance ${instance}`]), `at ${at}`].join(
        "\n",
      ),
    });
  };
}
