/** Field of the viewer to choose one of some values. */

interface Choice<T extends string> {
  readonly value: T;
  readonly name: string;
  /** Whether it cannot be chosen now. */
  readonly isDisabled?: boolean;
}

export function Select<T extends string>({
  label,
  value,
  choices,
  onChoice,
}: {
  readonly label: string;
  readonly value: T;
  readonly choices: readonly Choice<T>[];
  readonly onChoice: (value: T) => void;
}) {
  return (
    <label class="viewer-field">
      <span>{label}</span>
      <select class="field" value={value} onChange={({ currentTarget }) => onChoice(currentTarget.value as T)}>
        {choices.map((choice) => (
          <option key={choice.value} value={choice.value} disabled={choice.isDisabled ?? false}>
            {choice.name}
          </option>
        ))}
      </select>
    </label>
  );
}
