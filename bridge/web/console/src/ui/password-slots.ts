import type { PasswordFormProps } from '@courant/react/components';

/** The look of a password form, and its test ids: `form`, and `field` and `submit` of the input and the button. */
export function passwordSlots(
  form: string,
  prefix: string,
  field = prefix,
): NonNullable<PasswordFormProps['slotProps']> {
  return {
    form: { className: 'password', 'data-testid': form },
    label: { className: 'field' },
    input: { 'data-testid': field },
    button: { className: 'button small primary', 'data-testid': `${prefix}-submit` },
    error: { className: 'bad small' },
  };
}
