/*
 * Firmware of a small machine for tests: an ATmega328P (Arduino Uno) that speaks lines in the manner of G-code at 115200
 * baud. It tells each line that it runs ("ran: …"), and each real-time byte, before it answers: QEMU writes what the
 * machine says to a file, which is the ledger of what reached it.
 *
 *   G0 X10 Y-5   moves (an axis left out stays)      ok
 *   M114         tells the position                  X:10 Y:-5, ok
 *   ?            tells it at once, anywhere          <Idle|X:10|Y:-5>
 *   !            stops at once, anywhere             hold
 */
#include <avr/io.h>
#include <stdint.h>
#include <stdlib.h>

#define MOST 80

static int16_t x, y;

static void put(char byte) {
  while (!(UCSR0A & (1 << UDRE0)));
  UDR0 = byte;
}

static void say(const char *text) {
  while (*text) put(*text++);
}

static void say_number(int16_t number) {
  char text[8];
  say(itoa(number, text, 10));
}

static uint8_t get(void) {
  while (!(UCSR0A & (1 << RXC0)));
  return UDR0;
}

static void run(char *line) {
  say("ran: ");
  say(line);
  say("\r\n");
  if (line[0] == 'G' && line[1] == '0') {
    char *at = line + 2;
    while (*at) {
      char axis = *at++;
      if (axis == 'X') x = strtol(at, &at, 10);
      else if (axis == 'Y') y = strtol(at, &at, 10);
    }
    say("ok\r\n");
  } else if (line[0] == 'M' && line[1] == '1' && line[2] == '1' && line[3] == '4') {
    say("X:");
    say_number(x);
    say(" Y:");
    say_number(y);
    say("\r\nok\r\n");
  } else {
    say("error: unknown\r\n");
  }
}

int main(void) {
  UBRR0 = 8; /* 115200 baud at 16 MHz */
  UCSR0B = (1 << RXEN0) | (1 << TXEN0);
  char line[MOST + 1];
  uint8_t size = 0;
  say("ready\r\n");
  for (;;) {
    uint8_t byte = get();
    if (byte == '?') {
      say("<Idle|X:");
      say_number(x);
      say("|Y:");
      say_number(y);
      say(">\r\n");
    } else if (byte == '!') {
      say("hold\r\n");
    } else if (byte == '\r' || byte == '\n') {
      if (size == 0) continue;
      line[size] = 0;
      size = 0;
      run(line);
    } else if (size < MOST) {
      line[size++] = byte;
    }
  }
}
