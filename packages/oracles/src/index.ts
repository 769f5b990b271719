/** Readings of each format that share no code with the production readers, and what tests need around them. */
export * from './shared-data.js';
