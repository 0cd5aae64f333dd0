// This folder is a project of its own, though it lies within another.
export default { turbopack: { root: import.meta.dirname } };
