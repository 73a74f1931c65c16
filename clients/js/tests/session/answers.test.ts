import { expect, test, vi } from "vitest";
import { Opcode } from "../../src/protocol/wire.ts";
import { Answers, isAnswer } from "../../src/session/answers.ts";

test("an answer that says more keeps its request open", () => {
  const answers = new Answers();
  const asker = { answered: vi.fn(() => true), refused: vi.fn(), lost: vi.fn() };
  const request = answers.expect(asker);
  const account = { opcode: Opcode.ACCOUNT, request, subscription: 1 } as const;
  answers.received(account);
  answers.received(account);
  asker.answered.mockReturnValue(false);
  answers.received(account);
  answers.received(account);
  expect(asker.answered).toHaveBeenCalledTimes(3);
  answers.fail("gone");
  expect(asker.lost).not.toHaveBeenCalled();
});

test("a request that was given up gets nothing", () => {
  const answers = new Answers();
  const asker = { answered: vi.fn(), refused: vi.fn(), lost: vi.fn() };
  const request = answers.expect(asker);
  answers.forget(request);
  const error = { opcode: Opcode.ERROR, code: 5300, error: "FORBIDDEN", message: "no", request } as const;
  expect([answers.refused(error), answers.refused({ ...error, request: undefined })]).toEqual([false, false]);
  expect(isAnswer(error)).toBe(false);
});
