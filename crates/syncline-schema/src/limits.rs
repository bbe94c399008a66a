//! What a schema may be, and what a check may cost.

/// Bounds on a schema and on the checks that it makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaLimits {
    /// The most bytes of the schema's compact text.
    pub bytes_max: usize,
    /// The most levels of arrays and objects in the schema, so that reading it cannot overflow
    /// the stack.
    pub depth_max: usize,
    /// The most subschemas, each of which costs some hundred bytes of memory.
    pub subschemas_max: usize,
    /// The most bytes of the names on the way to a subschema, each of which is kept with its way;
    /// and of a merge rule's path.
    pub pointer_bytes_max: usize,
    /// The most bytes of one pattern's program; `\p{L}{100}` alone would take megabytes.
    pub pattern_program_bytes_max: usize,
    /// The most bytes of all patterns' programs together.
    pub pattern_programs_bytes_max: usize,
    /// The most subschemas that apply to one value. References that fork and meet again double
    /// this with each level.
    pub checks_per_value_max: u64,
    /// The most subschemas that are within one another during a check: each takes stack.
    pub nesting_max: usize,
    /// The most steps of one check: a subschema applied, a member or an item looked at, about
    /// sixteen bytes compared or sixteen states of a pattern visited.
    pub steps_max: u64,
    /// The most failures that a report tells in full; more are counted.
    pub failures_max: usize,
    /// The most merge rules of one schema.
    pub merge_rules_max: usize,
}

impl Default for SchemaLimits {
    fn default() -> SchemaLimits {
        SchemaLimits {
            bytes_max: 1 << 20,
            depth_max: 64,
            subschemas_max: 10_000,
            pointer_bytes_max: 4 << 10,
            pattern_program_bytes_max: 256 << 10,
            pattern_programs_bytes_max: 4 << 20,
            checks_per_value_max: 10_000,
            nesting_max: 400,
            steps_max: 10_000_000,
            failures_max: 100,
            merge_rules_max: 1_000,
        }
    }
}
