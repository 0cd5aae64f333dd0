// Runs before the first paint, so that a chosen theme never flashes. A file of its own because of the content policy.
try {
  const theme = localStorage.getItem('courant.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // Storage is switched off: the system's theme it is.
}
