/** Field of the address of another gateway, to which clients are told to go. */

interface GatewayFieldProps {
  readonly label: string;
  readonly value: string;
  readonly onInput: (address: string) => void;
}

export function GatewayField({ label, value, onInput }: GatewayFieldProps) {
  return (
    <label class="label">
      {label}
      <input
        class="field"
        placeholder="wss://gateway-2.example.com:8765"
        value={value}
        onInput={({ currentTarget }) => onInput(currentTarget.value)}
      />
    </label>
  );
}
