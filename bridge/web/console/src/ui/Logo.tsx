/** The mark: a C that lets a current through. */
export function Logo({ large = false }: { readonly large?: boolean }) {
  return (
    <span className={large ? 'logo logo-large' : 'logo'}>
      <svg viewBox="0 0 32 32" aria-hidden="true">
        <rect className="logo-ground" width="32" height="32" rx="9" />
        <path className="logo-c" d="M23.2 10.4A9 9 0 1 0 23.2 21.6" />
        <path className="logo-wave" d="M11.5 17.2c1.9-2.7 3.8-2.7 5.7-.9s3.9 1.8 5.8-.9" />
      </svg>
      <span className="logo-name">Courant</span>
    </span>
  );
}
