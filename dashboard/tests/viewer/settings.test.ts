import { expect, test } from "vitest";
import { DEFAULTS, queryOf, type Settings, settingsOf } from "../../src/viewer/settings.ts";

const defined = (query: Readonly<Record<string, string | undefined>>): Record<string, string> =>
  Object.fromEntries(Object.entries(query).filter((field): field is [string, string] => field[1] !== undefined));

test("an address has all settings, and none that are as they are by default", () => {
  const settings: Settings = {
    mode: "heat",
    tensor: "w",
    axes: [2, 0],
    at: { 1: 5, 3: 0 },
    map: "diverging",
    scale: "log",
    range: { kind: "fixed", low: -1.5, high: 2e-3 },
    part: "phase",
    difference: true,
    rateHz: 5,
    zoom: { top: 1.5, bottom: 9, left: -3, right: 12.25 },
    cell: [40, 2],
    offset: 17,
    others: ["run/a", "run/b"],
    smoothing: 0.9,
    abscissa: "offset",
  };
  expect(settingsOf(defined(queryOf(settings)))).toEqual(settings);
  expect(defined(queryOf(DEFAULTS))).toEqual({});
  expect(queryOf(settingsOf({}))).toEqual(queryOf(DEFAULTS));
});

test("what cannot be read counts as absent", () => {
  const query = {
    view: "cube",
    axes: "1",
    at: "x:1,2:3",
    range: "5:1",
    hz: "1000",
    zoom: "3:1:0:1",
    offset: "-1",
    smooth: "7",
  };
  expect(settingsOf(query)).toEqual({ ...settingsOf({}), at: { 2: 3 }, smoothing: 0.999 });
  expect(settingsOf({ range: "p60" }).range).toEqual(DEFAULTS.range);
  expect(settingsOf({ range: "p2.5" }).range).toEqual({ kind: "percentile", percent: 2.5 });
});
