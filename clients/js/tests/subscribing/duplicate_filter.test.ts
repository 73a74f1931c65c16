import { expect, test } from "vitest";
import { Acknowledger } from "../../src/subscribing/acknowledger.ts";
import {
  type AckScope,
  type AckUnit,
  DuplicateFilter,
  DuplicateFilters,
  type PendingAck,
} from "../../src/subscribing/duplicate_filter.ts";

class Answers extends Acknowledger {
  readonly answers: [epoch: number, code: number, first: bigint, last: bigint][] = [];
  readonly reported: (readonly [bigint, bigint])[] = [];

  constructor() {
    super({ session: undefined, idOf: () => undefined });
  }

  override add(_stream: string, epoch: number, code: number, first: bigint, last: bigint): void {
    this.answers.push([epoch, code, first, last]);
  }

  override report(_stream: string, _epoch: number, ranges: Iterable<readonly [bigint, bigint]>): void {
    this.reported.push(...ranges);
  }
}

class Program implements AckScope {
  holding = true;

  holds(): boolean {
    return this.holding;
  }

  drop(): void {
    this.holding = false;
  }
}

function unit(first: bigint, fields: Partial<AckUnit> = {}): AckUnit {
  return { epoch: 1, first, count: 1, identity: undefined, ...fields };
}

function given(filter: DuplicateFilter, found: AckUnit, ...scopes: AckScope[]): PendingAck {
  const { pending } = filter.receive(found);
  if (!pending) {
    throw new Error("a duplicate");
  }
  for (const scope of scopes) {
    pending.wait(scope);
  }
  return pending;
}

test("a unit that the program holds is left out, and answered once, at its latest delivery", () => {
  const answers = new Answers();
  const filter = new DuplicateFilter("wf/a", answers);
  const program = new Program();
  const pending = given(filter, unit(3n), program);
  expect(filter.receive(unit(3n)).pending).toBeUndefined();
  pending.answer(program, 0);
  pending.answer(program, 5);
  expect(answers.answers).toEqual([[1, 0, 3n, 3n]]);
  expect(filter.receive(unit(3n)).pending).toBeUndefined();
  expect(answers.answers.length).toBe(2);
});

test("all subscriptions have to answer, and one that refused gets the unit again alone", () => {
  const answers = new Answers();
  const filter = new DuplicateFilter("wf/a", answers);
  const [one, other] = [new Program(), new Program()];
  const pending = given(filter, unit(3n, { count: 4 }), one, other);
  pending.answer(one, 0);
  expect(answers.answers).toEqual([]);
  pending.answer(other, 5224);
  expect(answers.answers).toEqual([[1, 5224, 3n, 6n]]);
  const again = filter.receive(unit(3n, { count: 4 }));
  expect([again.pending === undefined, again.scopes]).toEqual([false, [other]]);
});

test("a unit that the program has let go of is given to it again", () => {
  const filter = new DuplicateFilter("wf/a", new Answers());
  const program = new Program();
  given(filter, unit(3n), program);
  program.holding = false;
  expect(filter.receive(unit(3n))).toMatchObject({ scopes: [program], pending: expect.anything() });
});

test("after a change of the epoch units are known by producer and sequence", () => {
  const answers = new Answers();
  const filter = new DuplicateFilter("wf/a", answers);
  const program = new Program();
  const identity = { producer: 5n, sequence: 8n };
  given(filter, unit(3n, { identity }), program).answer(program, 0);
  expect(filter.receive(unit(0n, { epoch: 2, identity })).pending).toBeUndefined();
  expect(answers.answers.at(-1)).toEqual([2, 0, 0n, 0n]);
  expect(filter.receive(unit(1n, { epoch: 2, identity: { producer: 5n, sequence: 9n } })).pending).toBeDefined();
});

test("what is held is reported as in progress, and what will not come counts as processed", () => {
  const answers = new Answers();
  const filters = new DuplicateFilters(answers);
  const filter = filters.of("wf/a", 1);
  const [holding, letGo] = [new Program(), new Program()];
  letGo.holding = false;
  given(filter, unit(3n), holding).inProgress();
  given(filter, unit(4n, { count: 2 }), holding);
  given(filter, unit(9n), letGo);
  filters.reportHeld();
  expect(answers.reported).toEqual([
    [3n, 3n],
    [3n, 5n],
  ]);
  filter.skip(1, 20n, 22n);
  expect(filter.receive(unit(21n)).pending).toBeUndefined();
  filter.refuse(1, 30n, 2, 5207);
  expect(answers.answers.at(-1)).toEqual([1, 5207, 30n, 31n]);
});

test("a filter is forgotten with its stream, unless the next one is there already", () => {
  const filters = new DuplicateFilters(new Answers());
  const first = filters.of("wf/a", 1);
  filters.of("wf/a", 2);
  filters.end("wf/a", 1);
  expect(filters.of("wf/a", 2)).toBe(first);
  filters.end("wf/a", 2);
  expect(filters.of("wf/a", 3)).not.toBe(first);
  filters.end("wf/a");
});

test("at most 256 producers are remembered", () => {
  const filter = new DuplicateFilter("wf/a", new Answers());
  const program = new Program();
  for (let producer = 0n; producer < 257n; producer++) {
    given(filter, unit(producer, { identity: { producer, sequence: 1n } }), program).answer(program, 0);
  }
  const again = (producer: bigint) =>
    filter.receive(unit(producer, { epoch: 2, identity: { producer, sequence: 1n } }));
  expect([again(0n).pending === undefined, again(256n).pending === undefined]).toEqual([false, true]);
});

test("what the program holds over a change of the epoch is answered by its offset there", () => {
  const answers = new Answers();
  const filter = new DuplicateFilter("wf/a", answers);
  const program = new Program();
  const identity = { producer: 5n, sequence: 1n };
  const pending = given(filter, unit(3n, { identity }), program);
  expect(filter.receive(unit(0n, { epoch: 2, identity })).pending).toBeUndefined();
  pending.answer(program, 0);
  expect(answers.answers).toEqual([[2, 0, 0n, 0n]]);
});
